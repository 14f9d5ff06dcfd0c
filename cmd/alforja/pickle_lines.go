package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"alforja/pickle"
)

// A pickleLine is one line of --jsonl.
type pickleLine struct {
	name pickle.Value
	hex  string       // of {"hex": ...}
	json pickle.Value // of {"json": ...}, what it stands for; nil when there is none
}

// pickle returns the bytes that hex stands for.
func (l *pickleLine) pickle() ([]byte, error) {
	data, err := hex.DecodeString(l.hex)
	if err != nil {
		return nil, fmt.Errorf(`"hex": %w`, err)
	}
	return data, nil
}

// An answer is what one line is answered by: fields to follow its name, and
// what is wrong with it.
type answer struct {
	fields []byte // such as `,"hex":"4e2e"`
	err    error
}

// eachLine answers every line in turn, at once when no other waits to be
// read. It returns an error when a line could not be answered well.
func (in *pickleInput) eachLine(cmd *cobra.Command, path string, reply func(*pickleLine) answer) error {
	f, err := in.open(cmd, path)
	if err != nil {
		return err
	}
	defer f.Close()
	const rest = 1 << 16 // bytes of a line for the name and what else stands there
	lines := lineReader{r: bufio.NewReaderSize(f, 1<<16), most: int(in.spelled()) + rest}
	out := bufio.NewWriterSize(cmd.OutOrStdout(), 1<<16)
	failed, number := 0, 0
	for {
		text, err := lines.next()
		if err == io.EOF {
			break
		}
		var wrong *lineError
		if err != nil && !errors.As(err, &wrong) {
			return errors.Join(fmt.Errorf("%s: %w", path, err), out.Flush())
		}
		number++
		name, a := in.answerLine(text, err, reply)
		if a.err != nil {
			failed++
			a.fields = fmt.Appendf(a.fields, `,"line":%d,"error":%s`, number, jsonText(explain(a.err)))
		}
		fmt.Fprintf(out, `{"name":%s%s}`+"\n", jsonOf(name), a.fields)
		if lines.r.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d lines failed", failed, number)
	}
	return nil
}

func (in *pickleInput) answerLine(text []byte, err error, reply func(*pickleLine) answer) (name pickle.Value, a answer) {
	if err != nil {
		return pickle.None{}, answer{err: err}
	}
	line, err := parseLine(text)
	if err != nil {
		return line.name, answer{err: err}
	}
	return line.name, reply(&line)
}

// parseLine reads a line, which as a whole is JSON that ParseJSON knows.
func parseLine(text []byte) (pickleLine, error) {
	line := pickleLine{name: pickle.None{}}
	if len(bytes.TrimSpace(text)) == 0 {
		return line, &lineError{"an empty line"}
	}
	v, err := pickle.ParseJSON(text)
	if err != nil {
		return line, err
	}
	d, ok := v.(*pickle.Dict)
	if !ok {
		return line, &lineError{`not an object {"name": ..., "hex": ...}`}
	}
	if name, ok := d.Get(pickle.Str("name")); ok {
		line.name = name
	}
	if json, ok := d.Get(pickle.Str("json")); ok {
		line.json = json
	}
	if text, ok := d.Get(pickle.Str("hex")); ok {
		s, isText := text.(pickle.Str)
		if !isText {
			return line, &lineError{`"hex" is not a string`}
		}
		line.hex = string(s)
	} else if line.json == nil {
		return line, &lineError{`no "hex" in the line`}
	}
	return line, nil
}

// A lineError is about one line only.
type lineError struct{ reason string }

func (e *lineError) Error() string { return e.reason }

// A lineReader reads lines and skips those that are too long.
type lineReader struct {
	r    *bufio.Reader
	most int // bytes in a line
	line []byte
}

// next returns the next line, valid until the call after it. The error is a
// *lineError for one that is too long, and io.EOF after the last.
func (l *lineReader) next() ([]byte, error) {
	l.line = l.line[:0]
	tooLong := false
	for {
		part, err := l.r.ReadSlice('\n')
		if !tooLong {
			l.line = append(l.line, part...)
		}
		tooLong = tooLong || len(l.line) > l.most
		switch {
		case err == bufio.ErrBufferFull:
			if tooLong {
				l.line = nil // not kept for the lines that follow
			}
			continue
		case err == io.EOF && len(part) == 0 && len(l.line) == 0 && !tooLong:
			return nil, io.EOF
		case err != nil && err != io.EOF:
			return nil, err
		case tooLong:
			return nil, &lineError{fmt.Sprintf("the line is longer than %d bytes: raise --max-bytes", l.most)}
		}
		return l.line, nil
	}
}

// jsonOf returns the form for people, which for a plain text or number is the
// one it came in.
func jsonOf(v pickle.Value) []byte {
	text, err := pickle.AppendJSON(nil, v, pickle.JSONOptions{})
	if err != nil {
		return []byte("null")
	}
	return text
}

func jsonText(s string) []byte { return jsonOf(pickle.Str(s)) }
