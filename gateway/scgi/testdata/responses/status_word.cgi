Status: OK\r\n
\r\n

