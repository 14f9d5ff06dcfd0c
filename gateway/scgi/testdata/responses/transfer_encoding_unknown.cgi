Transfer-Encoding: gzip, chunked\r\n
\r\n
x
