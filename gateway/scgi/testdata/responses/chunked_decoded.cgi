Transfer-Encoding: chunked\r\n
Content-Type: text/plain\r\n
\r\n
5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n
