\r\n
