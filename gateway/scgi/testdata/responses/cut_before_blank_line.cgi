Status: 200 OK\r\n
