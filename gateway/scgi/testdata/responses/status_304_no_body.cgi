Status: 304 Not Modified\r\n
Content-Length: 300\r\n
ETag: "x"\r\n
\r\n

