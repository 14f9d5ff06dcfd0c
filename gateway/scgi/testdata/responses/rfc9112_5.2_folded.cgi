X-Long: one\r\n
  two\r\n
\tthree\r\n
Content-Type: text/plain\r\n
\r\n

