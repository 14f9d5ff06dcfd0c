Content-Type: text/plain\r\n
Status: 404 Not Found\r\n
\r\n
no
