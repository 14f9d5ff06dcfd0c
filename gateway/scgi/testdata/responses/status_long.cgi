Status: 2000 OK\r\n
\r\n

