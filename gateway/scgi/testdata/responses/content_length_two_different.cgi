Content-Length: 4\r\n
Content-Length: 5\r\n
\r\n
body
