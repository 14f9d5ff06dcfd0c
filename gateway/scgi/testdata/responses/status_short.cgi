Status: 20\r\n
\r\n

