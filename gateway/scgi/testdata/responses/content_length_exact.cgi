Content-Length: 4\r\n
\r\n
body
