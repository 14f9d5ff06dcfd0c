Transfer-Encoding: chunked\r\n
\r\n
zz\r\nhello
