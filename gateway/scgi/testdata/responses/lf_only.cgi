Status: 200 OK\n
Content-Type: text/plain\n
\n
body
