HTTP/1.1 201 Created\r\n
Status: 200 OK\r\n
\r\n

