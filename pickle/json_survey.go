package pickle

import "unsafe"

// longText is the greatest length, in bytes, of texts and names that are
// written again each time they are met. Longer ones are referred to: two bytes
// of a pickle can fetch a long text from the memo over and over.
const longText = 64

// A metValue is something that has an identity.
type metValue struct {
	count   int
	id      int      // of "$id"; 0 before it is written
	written bool     // of an import: before
	text    *metText // of a text
}

// A metText is what is known of all texts with the same content.
type metText struct {
	identity
	count      int
	several    bool     // there are equal texts that are not one object
	surrogates bool     // it has lone ones
	own        identity // of Append's own word that is equal, if there is one
}

// survey counts how often each part of v is met.
func (w *jsonWriter) survey(v Value) error {
	if w.depth++; w.depth > maxNesting {
		return w.fail("nested more than 10,000 levels deep")
	}
	defer func() { w.depth-- }()
	switch v := v.(type) {
	case Str:
		return w.surveyText(v)
	case Import:
		return w.surveyImport(v)
	case PersistentID:
		return w.survey(v.ID)
	case nil:
		return w.fail("a nil Value")
	}
	key, ok := identityOf(v)
	if !ok {
		return nil
	}
	if key.pointer == nil {
		return w.fail("a nil pointer")
	}
	if m := w.met[key]; m != nil {
		m.count++
		return nil
	}
	w.met[key] = &metValue{count: 1}
	switch v := v.(type) {
	case *List:
		return w.surveyAll(v.Items)
	case *Tuple:
		return w.surveyAll(v.Items)
	case *Set:
		return w.surveyAll(v.Items)
	case *FrozenSet:
		return w.surveyAll(v.Items)
	case *Dict:
		return w.surveyItems(v.Items)
	case *Object:
		return w.surveyObject(v)
	}
	return nil
}

// surveyText reads a text once, however often it is met.
func (w *jsonWriter) surveyText(s Str) error {
	key := stringIdentity(string(s), strIdentity)
	m := w.met[key]
	if m == nil {
		if !validSurrogates([]byte(s)) {
			return w.fail("a Str that is not UTF-8")
		}
		t := w.texts[string(s)]
		if t == nil {
			t = &metText{identity: key, surrogates: hasSurrogates(string(s)), own: ownWords[string(s)]}
			w.texts[string(s)] = t
		}
		t.several = t.several || t.identity != key
		m = &metValue{text: t}
		w.met[key] = m
	}
	m.count++
	m.text.count++
	return nil
}

// surveyImport looks at the strings of an import once: Append writes them once.
func (w *jsonWriter) surveyImport(i Import) error {
	if m := w.imports[i]; m != nil {
		m.count++
		return nil
	}
	w.imports[i] = &metValue{count: 1}
	return w.surveyAll([]Value{Str(i.Module), Str(i.Name)})
}

func (w *jsonWriter) surveyObject(o *Object) error {
	if int(o.How) >= len(howNames) {
		return w.fail("an Object made in no known way")
	}
	if o.outer != nil {
		if err := w.survey(o.outer); err != nil {
			return err
		}
	}
	if err := w.survey(o.Callable); err != nil {
		return err
	}
	if o.ArgsObject != nil {
		if err := w.survey(o.ArgsObject); err != nil {
			return err
		}
	} else if o.Args != nil {
		if err := w.survey(o.Args); err != nil {
			return err
		}
	}
	if o.Kwargs != nil {
		if err := w.survey(o.Kwargs); err != nil {
			return err
		}
	}
	if err := w.surveyStep(Step{o.State, o.StateSetter, o.ListItems, o.DictItems, nil}); err != nil {
		return err
	}
	for _, s := range o.Later {
		if err := w.surveyStep(s); err != nil {
			return err
		}
	}
	return nil
}

func (w *jsonWriter) surveyStep(s Step) error {
	if err := w.surveyAll(s.ListItems); err != nil {
		return err
	}
	if err := w.surveyItems(s.DictItems); err != nil {
		return err
	}
	if err := w.surveyAll(s.SetItems); err != nil {
		return err
	}
	if s.State == nil {
		return nil
	}
	if s.StateSetter != nil {
		if err := w.survey(s.StateSetter); err != nil {
			return err
		}
	}
	return w.survey(s.State)
}

func (w *jsonWriter) surveyAll(items []Value) error {
	for _, v := range items {
		if err := w.survey(v); err != nil {
			return err
		}
	}
	return nil
}

func (w *jsonWriter) surveyItems(items []Item) error {
	for _, item := range items {
		if err := w.survey(item.Key); err != nil {
			return err
		}
		if err := w.survey(item.Value); err != nil {
			return err
		}
	}
	return nil
}

// identityOf returns what tells v apart from equal values, if anything does.
// The empty tuple and empty bytes have no identity.
func identityOf(v Value) (key identity, ok bool) {
	switch v := v.(type) {
	case None, Bool, Int, Float, Import, PersistentID, Python2Int, Python2Import:
		return identity{}, false
	case Str:
		return stringIdentity(string(v), strIdentity), true
	case Bytes:
		return stringIdentity(string(v), bytesIdentity), v != ""
	case ByteStr:
		return stringIdentity(string(v), byteStrIdentity), v != ""
	case *BigInt:
		return identity{pointer: unsafe.Pointer(v)}, true
	case *Tuple:
		return identity{pointer: unsafe.Pointer(v)}, v == nil || len(v.Items) > 0
	}
	return identity{pointer: pointerOf(v)}, true
}

// shared returns what is known of a value that is met more than once and must
// be told apart, or nil.
func (w *jsonWriter) shared(v Value) *metValue {
	switch v := v.(type) {
	case Import:
		if m := w.imports[v]; m.count > 1 && len(v.Module)+len(v.Name) > longText {
			return m
		}
		return nil
	case Str:
		if w.isPlain(v) && (len(v) <= longText || w.textOf(v).count == 1) {
			return nil
		}
	}
	key, ok := identityOf(v)
	if !ok {
		return nil
	}
	if m := w.met[key]; m.count > 1 {
		return m
	}
	return nil
}

// isPlain says whether a text stands for itself: what is equal is the same
// object. The form for people knows no other texts.
func (w *jsonWriter) isPlain(s Str) bool {
	if !w.exact {
		return true
	}
	t := w.textOf(s)
	if t.own.pointer != nil {
		return stringIdentity(string(s), strIdentity) == t.own
	}
	return !t.several && !t.surrogates
}

func (w *jsonWriter) textOf(s Str) *metText {
	return w.met[stringIdentity(string(s), strIdentity)].text
}

// ownWords are the strings that Append itself writes for a bytearray in
// protocol 4. Of names that Decode has from its tables they may be the same
// object, and of names in the pickle they are not.
var ownWords = map[string]identity{
	"builtins":  stringIdentity("builtins", strIdentity),
	"bytearray": stringIdentity("bytearray", strIdentity),
}

func (w *jsonWriter) fail(reason string) error { return &JSONError{Offset: -1, Reason: reason} }
