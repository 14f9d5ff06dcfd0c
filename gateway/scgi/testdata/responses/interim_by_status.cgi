Status: 103 Early Hints\r\nLink: x\r\n\r\nStatus: 200 OK\r\nContent-Length: 2\r\n\r\nok
