Transfer-Encoding: chunked\r\n
\r\n
5\r\nhello\r\n
