Status: \r\n
\r\n

