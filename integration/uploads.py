"""A file as a browser sends it."""

MULTIPART = {"Content-Type": "multipart/form-data; boundary=b0undary"}


def multipart(data):
    return (
        b'--b0undary\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" + data + b"\r\n--b0undary--\r\n"
    )
