Content-Type: text/html\r\n
\r\n
<p>
