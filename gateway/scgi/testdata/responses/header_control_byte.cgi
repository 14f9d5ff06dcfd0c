X: a\x01b\r\n
\r\n

