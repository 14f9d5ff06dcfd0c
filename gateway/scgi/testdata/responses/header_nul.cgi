X: a\x00b\r\n
\r\n

