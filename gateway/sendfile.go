package gateway

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sendfileHeader is how an application hands a response's body over: by the
// absolute path of a file, as with lighttpd and Apache's mod_xsendfile.
const sendfileHeader = "X-Sendfile"

// checkFiles refuses directories that are not there.
func (o *Options) checkFiles() error {
	for prefix := range o.Static {
		if !strings.HasPrefix(prefix, "/") {
			return &OptionsError{fmt.Sprintf("static prefix %q does not begin with a slash", prefix)}
		}
	}
	if info, err := os.Stat(cmp.Or(o.RunDir, "/")); err != nil || !info.IsDir() {
		return &OptionsError{fmt.Sprintf("run dir %q is no directory", o.RunDir)}
	}
	for _, dir := range slices.Concat(o.Sendfile, slices.Collect(maps.Values(o.Static))) {
		if !filepath.IsAbs(dir) {
			return &OptionsError{fmt.Sprintf("directory %q of files is no absolute path", dir)}
		}
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return &OptionsError{fmt.Sprintf("directory %q of files is not there", dir)}
		}
	}
	return nil
}

// fileOf returns the path that a response hands over. Without directories from
// which files may be sent, the header is one for the web server before the
// gateway, and stays.
func (p *Proxy) fileOf(resp *http.Response) string {
	if len(p.Sendfile) == 0 || resp.StatusCode != http.StatusOK {
		return ""
	}
	return resp.Header.Get(sendfileHeader)
}

// sendFile answers with the file that a response hands over, under that
// response's headers. The response's own body is nobody's. What is no file
// below one of the directories is answered 404, as lighttpd does, and logged.
func (p *Proxy) sendFile(w http.ResponseWriter, r *http.Request, resp *http.Response, body *workerBody, path string) {
	dropped, _ := io.CopyN(io.Discard, body, copyBytes) // its end, if it is near, so that the connection is kept
	body.Close()
	file, info, err := openBelowAny(p.Sendfile, path)
	if err != nil {
		p.logger().Error("file not sent: it must be a regular file below a directory for it",
			"request", recordOf(r.Context()).requestID, "file", path, "err", err)
		keepSessionCookie(w, r, resp)
		fail(w, http.StatusNotFound, "no such file")
		return
	}
	defer file.Close()
	header := w.Header()
	for name, values := range resp.Header {
		if name != sendfileHeader && name != "Content-Length" {
			header[name] = values
		}
	}
	if dropped > 0 || resp.ContentLength > 0 {
		header.Del("Content-Encoding") // said how the body was encoded that nobody gets
	}
	serveFile(w, r, file, info)
}

// openBelowAny opens the file with an absolute path below one of the
// directories.
func openBelowAny(dirs []string, path string) (*os.File, os.FileInfo, error) {
	err := error(errNoFile)
	for _, dir := range dirs {
		name, below := strings.CutPrefix(path, strings.TrimRight(dir, "/")+"/")
		if !below {
			continue
		}
		var file *os.File
		var info os.FileInfo
		if file, info, err = openBelow(dir, name); err == nil {
			return file, info, nil
		}
	}
	return nil, nil, err
}
