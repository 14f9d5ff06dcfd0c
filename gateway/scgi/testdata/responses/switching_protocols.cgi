HTTP/1.1 101 Switching Protocols\r\n\r\n
