Status: 404\r\n
Content-Type: text/plain\r\n
\r\n

