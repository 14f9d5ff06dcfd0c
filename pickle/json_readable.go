package pickle

import (
	"fmt"
	"time"
)

// readableObject writes an instance as its class and attributes, and another
// call as what is called with which arguments.
func (w *jsonWriter) readableObject(o *Object) error {
	if class, ok := o.Class(); ok {
		if text, ok := standardText(o); ok {
			w.text("$class", class.path())
			w.text("$text", text)
			return nil
		}
	}
	args := o.Args
	if class, instance := o.Class(); instance && (o.How != Reduce || class != o.Callable) {
		if err := w.name("$class", class); err != nil {
			return err
		}
		args = argsOfClass(o)
	} else if function, ok := o.Callable.(Import); ok {
		if err := w.name("$call", function); err != nil {
			return err
		}
	} else if err := w.field("$call", o.Callable); err != nil {
		return err
	}
	switch {
	case o.ArgsObject != nil:
		if err := w.field("$args", o.ArgsObject); err != nil {
			return err
		}
	case o.Args != nil && w.shared(o.Args) != nil:
		if err := w.field("$args", o.Args); err != nil {
			return err
		}
	case args != nil && len(args.Items) > 0:
		if err := w.items("$args", args.Items); err != nil {
			return err
		}
	}
	if o.Kwargs != nil && len(o.Kwargs.Items) > 0 {
		if err := w.field("$kwargs", o.Kwargs); err != nil {
			return err
		}
	}
	return w.readableParts(o)
}

func (w *jsonWriter) readableParts(o *Object) error {
	if len(o.ListItems) > 0 {
		if err := w.items("$list", o.ListItems); err != nil {
			return err
		}
	}
	if len(o.DictItems) > 0 {
		if err := w.dict("$dict", o.DictItems); err != nil {
			return err
		}
	}
	attributes, ok := o.State.(*Dict)
	switch {
	case o.State == nil:
	case ok && o.StateSetter == nil && w.shared(attributes) == nil && w.plainKeys(attributes.Items):
		for _, item := range attributes.Items {
			if err := w.field(string(item.Key.(Str)), item.Value); err != nil {
				return err
			}
		}
	default:
		if o.StateSetter != nil {
			if err := w.field("$setter", o.StateSetter); err != nil {
				return err
			}
		}
		if err := w.field("$state", o.State); err != nil {
			return err
		}
	}
	return w.later("$later", o.Later)
}

// name writes an import's dotted name, or refers to a long one.
func (w *jsonWriter) name(key string, i Import) error {
	if m := w.imports[i]; m != nil && w.shared(i) != nil {
		return w.field(key, i)
	}
	w.text(key, i.path())
	return nil
}

// path is the dotted name.
func (i Import) path() string { return i.Module + "." + i.Name }

// argsOfClass returns what the class itself gets of the arguments of
// copyreg's functions, which make instances below protocol 2.
func argsOfClass(o *Object) *Tuple {
	function, _ := o.Callable.(Import)
	if o.How != Reduce || function.Module != "copyreg" {
		return o.Args
	}
	args := o.Args.Items
	if function.Name == "_reconstructor" && len(args) == 3 && args[2] == Value(None{}) {
		return nil // an object without a value of a built-in type in it
	}
	return &Tuple{Items: args[1:]}
}

// standardText returns the text of a date, Decimal or UUID; ok is false when o
// is nothing of the kind, or the text would be a long one.
func standardText(o *Object) (text string, ok bool) {
	class, _ := o.Class()
	switch class.Module {
	case "datetime", "decimal":
		ok = o.State == nil
	case "uuid":
		ok = true
	}
	if !ok || len(o.ListItems)+len(o.DictItems)+len(o.Later) > 0 {
		return "", false
	}
	v, ok := standardValue(o)
	if !ok {
		return "", false
	}
	switch v := v.(type) {
	case time.Time:
		layout := "2006-01-02T15:04:05.999999"
		if v.Location() != Naive && v.Location() != NaiveFold {
			layout += "Z07:00"
		}
		text = v.Format(layout)
	case Date:
		text = fmt.Sprintf("%04d-%02d-%02d", v.Year, v.Month, v.Day)
	case time.Duration:
		text = v.String()
	case Decimal:
		text = string(v)
	case UUID:
		text = v.String()
	}
	return text, text != "" && len(text) <= longText
}
