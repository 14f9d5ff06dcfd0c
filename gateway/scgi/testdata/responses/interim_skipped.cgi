HTTP/1.1 100 Continue\r\n\r\n
HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok
