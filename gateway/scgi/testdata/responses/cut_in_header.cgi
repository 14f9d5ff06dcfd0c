Status: 200 OK\r\nContent-Ty
