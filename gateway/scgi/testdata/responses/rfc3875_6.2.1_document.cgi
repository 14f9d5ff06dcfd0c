Status: 200 OK\r\n
Content-Type: text/plain\r\n
\r\n
body
