package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"alforja/pickle"
)

// An outcome is what this package's functions made of one input.
type outcome struct {
	index  uint64
	how    string
	data   []byte
	report pickle.Report
	err    error // Verify's
	policy error // the default policy's
	again  []byte
	fault  string // what must not happen: a panic, or Decode refusing what Verify lets through
}

// tooLong is for what takes microseconds.
const tooLong = time.Second

// examine runs everything of ours over data. What takes long is tried again:
// the machine may have been busy.
func examine(index uint64, data []byte, policy *pickle.Policy) (o outcome) {
	var took time.Duration
	for range 5 {
		start := time.Now()
		o = examineOnce(index, data, policy)
		if took = time.Since(start); took < tooLong {
			return o
		}
	}
	o.fault = fmt.Sprintf("slow: %v", took)
	return o
}

func examineOnce(index uint64, data []byte, policy *pickle.Policy) (o outcome) {
	o.index, o.data = index, data
	defer func() {
		if p := recover(); p != nil {
			o.fault = fmt.Sprintf("panic: %v", p)
		}
	}()
	o.report, o.err = pickle.Verify(data, pickle.Limits{})
	if o.err == nil {
		o.policy = policy.Check(o.report)
	}
	v, err := pickle.Decode(data, pickle.DecodeOptions{Python2: pickle.Python2ASCII})
	switch {
	case err != nil && o.err == nil && !beyondVerify(err):
		o.fault = "Decode refuses what Verify lets through: " + err.Error()
		return o
	case err != nil:
		return o
	}
	// Not protocol 0, whose text cannot hold the bits of a NaN.
	for _, protocol := range []int{max(1, o.report.Protocol), 1 + int(o.index%5)} {
		again, err := pickle.Append(nil, v, protocol)
		var encode *pickle.EncodeError
		if err != nil && !errors.As(err, &encode) {
			o.fault = "Append: " + err.Error()
			return o
		}
		if err == nil && len(again) > 0 {
			o.again = again
		}
	}
	if changedAfterUse(v) {
		o.again = nil
	}
	return o
}

// beyondVerify says whether an error of Decode is one that its documentation
// leaves to Decode alone: what is copied for calls and how long names are, and
// changes to what Decode knows to be no plain object, as Verify cannot.
func beyondVerify(err error) bool {
	var limit *pickle.LimitError
	if errors.As(err, &limit) {
		return limit.Limit == "MaxHashed"
	}
	var syntax *pickle.SyntaxError
	if !errors.As(err, &syntax) {
		return false
	}
	if syntax.Reason == "the names are too long" {
		return true
	}
	return slices.Contains([]string{"BUILD", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS"}, syntax.Opcode)
}

// A loaded is CPython's reply.
type loaded struct {
	died                string
	failed              bool
	used, persistent    int
	imports, attributes []string // "module name"
	err, differs, wrong string
}

func parseReply(r reply) loaded {
	if r.died != "" {
		return loaded{died: r.died, failed: true}
	}
	b := r.payload
	l := loaded{
		failed: b[0] != 0, used: int(binary.LittleEndian.Uint32(b[1:])), persistent: int(binary.LittleEndian.Uint32(b[5:])),
	}
	b = b[9:]
	texts := make([]string, 5)
	for i := range texts {
		n := binary.LittleEndian.Uint32(b)
		texts[i], b = string(b[4:4+n]), b[4+n:]
	}
	lines := func(s string) []string {
		if s == "" {
			return nil
		}
		return strings.Split(s, "\n")
	}
	l.imports, l.attributes = lines(texts[0]), lines(texts[1])
	l.err, l.differs, l.wrong = texts[2], texts[3], texts[4]
	return l
}

// wantsTuple says whether CPython refused an instance as the arguments of a
// call, which Verify lets through because its class may be a subclass of tuple.
// Those of the comparison are not.
func wantsTuple(r pickle.Report, err string) bool {
	unknown := func(g pickle.Global) bool { return g.Args.Unknown }
	return strings.Contains(err, "must be a tuple") && slices.ContainsFunc(r.Globals, unknown)
}

// disagreement says in what CPython and the report of what Verify let through
// do not agree: a kind and the details. Empty when they agree.
func disagreement(o *outcome, c loaded) (kind, detail string) {
	imports, attributes := reported(o.report)
	switch {
	case o.fault != "":
		return "fault", o.fault
	case o.err != nil:
		return "", ""
	case c.died != "":
		return "CPython " + c.died, ""
	case c.failed && wantsTuple(o.report, c.err):
		return "", ""
	case c.failed:
		return "CPython refuses", c.err
	case c.used != o.report.Used:
		return "end", fmt.Sprintf("CPython read %d bytes, reported are %d", c.used, o.report.Used)
	case !slices.Equal(imports, c.imports):
		return "imports", fmt.Sprintf("CPython %q, reported %q", c.imports, imports)
	case !slices.Equal(attributes, c.attributes):
		return "attributes", fmt.Sprintf("CPython %q, reported %q", c.attributes, attributes)
	case c.persistent != o.report.PersistentIDs:
		return "persistent ids", fmt.Sprintf("CPython %d, reported %d", c.persistent, o.report.PersistentIDs)
	case c.differs != "":
		return "readers", c.differs
	case c.wrong != "":
		return "real types", c.wrong
	}
	return "", ""
}

// reported returns what a report says is imported, and what is taken by
// getattr, in order.
func reported(r pickle.Report) (imports, attributes []string) {
	globals := slices.Clone(r.Globals)
	sort.SliceStable(globals, func(i, j int) bool { return globals[i].Offset < globals[j].Offset })
	last := -1
	for _, g := range globals {
		if g.Offset == last {
			continue // a further role of the same import
		}
		last = g.Offset
		if g.Derived {
			attributes = append(attributes, g.Module+" "+g.Name)
		} else {
			imports = append(imports, g.Module+" "+g.Name)
		}
	}
	return imports, attributes
}

// reason is why Verify refused, in a form that can be counted.
func reason(err error) string {
	var limit *pickle.LimitError
	if errors.As(err, &limit) {
		return "beyond " + limit.Limit
	}
	var syntax *pickle.SyntaxError
	if errors.As(err, &syntax) {
		return syntax.Reason
	}
	return err.Error()
}
