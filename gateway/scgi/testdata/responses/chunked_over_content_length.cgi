Transfer-Encoding: chunked\r\n
Content-Length: 3\r\n
\r\n
5\r\nhello\r\n0\r\n\r\n
