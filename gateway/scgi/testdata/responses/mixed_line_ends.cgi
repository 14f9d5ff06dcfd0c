Status: 200 OK\n
Content-Type: text/plain\r\n
\n
\r\nbody
