package main

import (
	"errors"
	"slices"

	"alforja/gateway"
	"alforja/pickle"
)

// A Cart is the Python class shop.Cart, and a Line shop.Line. What Go writes
// has the fields that are named here and no others, so these have all that the
// classes have.
type Cart struct {
	Lines []*Line `pickle:"lines"`
}

type Line struct {
	SKU   string `pickle:"sku"`
	Count int    `pickle:"count"`
}

// An Order is the Python class shop.Order.
type Order struct {
	Number int    `pickle:"number"`
	Name   string `pickle:"name"`
	Street string `pickle:"street"`
	Cents  int    `pickle:"cents"`
}

// newCart has a list from the start: a nil slice would be None in Python.
func newCart() *Cart { return &Cart{Lines: []*Line{}} }

// setCount has count of one article in the cart; 0 takes it out.
func (c *Cart) setCount(sku string, count int) {
	line := c.find(sku)
	if line == nil {
		line = &Line{SKU: sku}
		c.Lines = append(c.Lines, line)
	}
	line.Count = count
	c.Lines = slices.DeleteFunc(c.Lines, func(line *Line) bool { return line.Count <= 0 })
}

func (c *Cart) find(sku string) *Line {
	at := slices.IndexFunc(c.Lines, func(line *Line) bool { return line.SKU == sku })
	if at < 0 {
		return nil
	}
	return c.Lines[at]
}

// Count returns how many things are in the cart.
func (c *Cart) Count() (n int) {
	for _, line := range c.Lines {
		n += line.Count
	}
	return n
}

// Cents returns what they cost.
func (c *Cart) Cents() (cents int) {
	for _, line := range c.Lines {
		cents += line.Cents()
	}
	return cents
}

// Article returns what the line is about.
func (l *Line) Article() article { return articles[l.SKU] }

// Cents returns what the line costs.
func (l *Line) Cents() int { return l.Count * l.Article().Cents }

// shopSessions says what a session of the shop is, for a gateway and for a
// worker: an instance of shop.ShopSession, with what its __init__ sets, whoever
// begins it, and with these structs for its objects.
func shopSessions() (gateway.Sessions, error) {
	classes := new(pickle.Registry)
	for name, sample := range map[string]any{"Cart": Cart{}, "Line": Line{}, "Order": Order{}} {
		classes.Register(pickle.Import{Module: "shop", Name: name}, sample, pickle.Instance)
	}
	cart, err := pickle.ToValue(newCart(), classes)
	return gateway.Sessions{
		Registry: classes,
		Class: gateway.SessionClass{
			Import: pickle.Import{Module: "shop", Name: "ShopSession"},
			Attributes: []pickle.Item{
				{Key: pickle.Str("cart"), Value: cart},
				{Key: pickle.Str("orders"), Value: new(pickle.List)},
			},
		},
		HasInfo: hasInfo,
	}, err
}

// hasInfo is ShopSession.has_info.
func hasInfo(session *gateway.Session) bool {
	v, err := visitorOf(session)
	return err != nil || v.Name != "" || len(v.Cart.Lines) > 0 || len(v.Orders) > 0
}

// A visitor is what the shop reads from a session.
type visitor struct {
	Name   string // "" unless logged in
	Cart   *Cart
	Orders []*Order
}

func visitorOf(session *gateway.Session) (*visitor, error) {
	v := &visitor{Cart: newCart()}
	v.Name, _ = session.User().(string)
	err := errors.Join(get(session, "cart", &v.Cart), get(session, "orders", &v.Orders))
	return v, err
}

// get leaves the target as it is where the session has no such attribute: it is
// older than the attribute.
func get[T any](session *gateway.Session, name string, target *T) error {
	value, err := gateway.Get[T](session, name)
	if errors.Is(err, gateway.ErrNoValue) {
		return nil
	}
	if err == nil {
		*target = value
	}
	return err
}
