X: a\rSet-Cookie: evil=1\r\n
\r\n

