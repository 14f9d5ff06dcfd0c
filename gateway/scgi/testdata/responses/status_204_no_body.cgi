Status: 204 No Content\r\n
Content-Length: 3\r\n
\r\n
abc
