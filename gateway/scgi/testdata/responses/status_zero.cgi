Status: 099 X\r\n
\r\n

