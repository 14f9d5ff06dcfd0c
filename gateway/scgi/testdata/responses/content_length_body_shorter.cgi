Content-Length: 5\r\n
\r\n
body
