Content-Length: 4x\r\n
\r\n
body
