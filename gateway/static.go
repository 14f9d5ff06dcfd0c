package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// ServeStatic returns a handler that answers GET and HEAD below the prefixes
// with the files of their directories, {"/static": "/srv/app/static"}, without a
// worker, a session or a lock, and leaves all other paths to next. Ranges, ETag and
// Last-Modified are as http.ServeContent has them. What is no file below the
// directory is answered 404: a directory, a device, what a symbolic link outside of
// it points to. Other methods are answered 405. Of several prefixes the longest
// counts. What may not be read is answered 403, what cannot be read 500; both are logged.
func ServeStatic(dirs map[string]string, logger *slog.Logger, next http.Handler) http.Handler {
	if len(dirs) == 0 {
		return next
	}
	prefixes := slices.SortedFunc(maps.Keys(dirs), func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, prefix := range prefixes {
			if name, below := strings.CutPrefix(r.URL.Path, strings.TrimRight(prefix, "/")+"/"); below {
				serveStatic(w, r, dirs[prefix], name, logger)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func serveStatic(w http.ResponseWriter, r *http.Request, dir, name string, logger *slog.Logger) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed, "this is a file")
		return
	}
	file, info, err := openBelow(dir, name)
	if err != nil {
		status, text := http.StatusNotFound, "no such file"
		switch {
		case errors.Is(err, fs.ErrPermission):
			status, text = http.StatusForbidden, "this file may not be read"
		case errors.Is(err, errNoDirectory), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EIO):
			status, text = http.StatusInternalServerError, "this file cannot be read"
		}
		if status != http.StatusNotFound {
			logger.Error("file not sent", "request", recordOf(r.Context()).requestID, "directory", dir, "file", shorten(name, 2048), "err", err)
		}
		fail(w, status, text)
		return
	}
	defer file.Close()
	w.Header().Set("X-Content-Type-Options", "nosniff")
	serveFile(w, r, file, info)
}

var (
	errNoFile      = errors.New("not a regular file")
	errNoDirectory = errors.New("the directory is not there")
)

// openBelow opens a regular file below a directory, out of which no symbolic
// link leads. The directory is looked up each time: deployments put another in
// its place.
func openBelow(dir, name string) (*os.File, fs.FileInfo, error) {
	if name == "" || path.Clean("/"+name) != "/"+name {
		return nil, nil, errNoFile // "a//b", "a/": one file, one URL
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = errNoDirectory
	}
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	// Without O_NONBLOCK a named pipe would be waited for.
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNoFile
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// serveFile answers with a file, or the part of it that is asked for. An ETag
// or a Content-Type that is set already stays.
func serveFile(w http.ResponseWriter, r *http.Request, file *os.File, info fs.FileInfo) {
	header := w.Header()
	if header.Get("Etag") == "" {
		header.Set("Etag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
	}
	http.ServeContent(w, r, info.Name(), info.ModTime(), file)
}
