HTTP/1.1 201 Created\r\n
Content-Type: text/plain\r\n
\r\n
x
