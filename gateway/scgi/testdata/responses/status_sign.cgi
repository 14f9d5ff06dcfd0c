Status: +20 X\r\n
\r\n

