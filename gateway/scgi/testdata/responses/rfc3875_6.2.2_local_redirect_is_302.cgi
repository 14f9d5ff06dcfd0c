Location: /x\r\n
\r\n

