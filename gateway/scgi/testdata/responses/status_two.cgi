Status: 200 OK\r\n
Status: 200 OK\r\n
\r\n

