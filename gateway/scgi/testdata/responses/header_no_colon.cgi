Traceback (most recent call last)\r\n
\r\n

