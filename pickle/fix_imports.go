package pickle

// A rename says where Python 3 finds what a module of Python 2 held.
type rename struct {
	module string               // the module's new name; empty when it kept its own
	names  map[string][2]string // names that moved by themselves: new module, new name
}

// renames is what CPython's load applies under fix_imports, its default, to
// pickles of protocol 0 to 2 (Lib/_compat_pickle.py, IMPORT_MAPPING and
// NAME_MAPPING; the same in 3.6 to 3.13, but that 3.13 dropped Tix).
var renames = map[string]rename{
	"BaseHTTPServer":     {module: "http.server"},
	"CGIHTTPServer":      {module: "http.server"},
	"ConfigParser":       {module: "configparser"},
	"Cookie":             {module: "http.cookies"},
	"Dialog":             {module: "tkinter.dialog"},
	"DocXMLRPCServer":    {module: "xmlrpc.server"},
	"FileDialog":         {module: "tkinter.filedialog"},
	"HTMLParser":         {module: "html.parser"},
	"Queue":              {module: "queue"},
	"ScrolledText":       {module: "tkinter.scrolledtext"},
	"SimpleDialog":       {module: "tkinter.simpledialog"},
	"SimpleHTTPServer":   {module: "http.server"},
	"SimpleXMLRPCServer": {module: "xmlrpc.server"},
	"SocketServer":       {module: "socketserver"},
	"StringIO":           {module: "io"},
	"Tix":                {module: "tkinter.tix"},
	"Tkconstants":        {module: "tkinter.constants"},
	"Tkdnd":              {module: "tkinter.dnd"},
	"Tkinter":            {module: "tkinter"},
	"UserDict": {
		module: "collections",
		names: map[string][2]string{
			"IterableUserDict": {"collections", "UserDict"},
			"UserDict":         {"collections", "UserDict"},
		},
	},
	"UserList": {
		module: "collections",
		names: map[string][2]string{
			"UserList": {"collections", "UserList"},
		},
	},
	"UserString": {
		module: "collections",
		names: map[string][2]string{
			"UserString": {"collections", "UserString"},
		},
	},
	"__builtin__": {
		module: "builtins",
		names: map[string][2]string{
			"basestring": {"builtins", "str"},
			"intern":     {"sys", "intern"},
			"long":       {"builtins", "int"},
			"reduce":     {"functools", "reduce"},
			"unichr":     {"builtins", "chr"},
			"unicode":    {"builtins", "str"},
			"xrange":     {"builtins", "range"},
		},
	},
	"_abcoll":      {module: "collections.abc"},
	"_elementtree": {module: "xml.etree.ElementTree"},
	"_multiprocessing": {
		names: map[string][2]string{
			"Connection": {"multiprocessing.connection", "Connection"},
		},
	},
	"_socket": {
		names: map[string][2]string{
			"fromfd": {"socket", "fromfd"},
		},
	},
	"_winreg":      {module: "winreg"},
	"anydbm":       {module: "dbm"},
	"cPickle":      {module: "pickle"},
	"cStringIO":    {module: "io"},
	"commands":     {module: "subprocess"},
	"cookielib":    {module: "http.cookiejar"},
	"copy_reg":     {module: "copyreg"},
	"dbhash":       {module: "dbm.bsd"},
	"dbm":          {module: "dbm.ndbm"},
	"dumbdbm":      {module: "dbm.dumb"},
	"dummy_thread": {module: "_dummy_thread"},
	"exceptions": {
		names: map[string][2]string{
			"ArithmeticError":           {"builtins", "ArithmeticError"},
			"AssertionError":            {"builtins", "AssertionError"},
			"AttributeError":            {"builtins", "AttributeError"},
			"BaseException":             {"builtins", "BaseException"},
			"BufferError":               {"builtins", "BufferError"},
			"BytesWarning":              {"builtins", "BytesWarning"},
			"DeprecationWarning":        {"builtins", "DeprecationWarning"},
			"EOFError":                  {"builtins", "EOFError"},
			"EnvironmentError":          {"builtins", "EnvironmentError"},
			"Exception":                 {"builtins", "Exception"},
			"FloatingPointError":        {"builtins", "FloatingPointError"},
			"FutureWarning":             {"builtins", "FutureWarning"},
			"GeneratorExit":             {"builtins", "GeneratorExit"},
			"IOError":                   {"builtins", "IOError"},
			"ImportError":               {"builtins", "ImportError"},
			"ImportWarning":             {"builtins", "ImportWarning"},
			"IndentationError":          {"builtins", "IndentationError"},
			"IndexError":                {"builtins", "IndexError"},
			"KeyError":                  {"builtins", "KeyError"},
			"KeyboardInterrupt":         {"builtins", "KeyboardInterrupt"},
			"LookupError":               {"builtins", "LookupError"},
			"MemoryError":               {"builtins", "MemoryError"},
			"NameError":                 {"builtins", "NameError"},
			"NotImplementedError":       {"builtins", "NotImplementedError"},
			"OSError":                   {"builtins", "OSError"},
			"OverflowError":             {"builtins", "OverflowError"},
			"PendingDeprecationWarning": {"builtins", "PendingDeprecationWarning"},
			"ReferenceError":            {"builtins", "ReferenceError"},
			"RuntimeError":              {"builtins", "RuntimeError"},
			"RuntimeWarning":            {"builtins", "RuntimeWarning"},
			"StandardError":             {"builtins", "Exception"},
			"StopIteration":             {"builtins", "StopIteration"},
			"SyntaxError":               {"builtins", "SyntaxError"},
			"SyntaxWarning":             {"builtins", "SyntaxWarning"},
			"SystemError":               {"builtins", "SystemError"},
			"SystemExit":                {"builtins", "SystemExit"},
			"TabError":                  {"builtins", "TabError"},
			"TypeError":                 {"builtins", "TypeError"},
			"UnboundLocalError":         {"builtins", "UnboundLocalError"},
			"UnicodeDecodeError":        {"builtins", "UnicodeDecodeError"},
			"UnicodeEncodeError":        {"builtins", "UnicodeEncodeError"},
			"UnicodeError":              {"builtins", "UnicodeError"},
			"UnicodeTranslateError":     {"builtins", "UnicodeTranslateError"},
			"UnicodeWarning":            {"builtins", "UnicodeWarning"},
			"UserWarning":               {"builtins", "UserWarning"},
			"ValueError":                {"builtins", "ValueError"},
			"Warning":                   {"builtins", "Warning"},
			"ZeroDivisionError":         {"builtins", "ZeroDivisionError"},
		},
	},
	"gdbm":           {module: "dbm.gnu"},
	"htmlentitydefs": {module: "html.entities"},
	"httplib":        {module: "http.client"},
	"itertools": {
		names: map[string][2]string{
			"ifilter":      {"builtins", "filter"},
			"ifilterfalse": {"itertools", "filterfalse"},
			"imap":         {"builtins", "map"},
			"izip":         {"builtins", "zip"},
			"izip_longest": {"itertools", "zip_longest"},
		},
	},
	"markupbase": {module: "_markupbase"},
	"multiprocessing": {
		names: map[string][2]string{
			"AuthenticationError": {"multiprocessing.context", "AuthenticationError"},
			"BufferTooShort":      {"multiprocessing.context", "BufferTooShort"},
			"ProcessError":        {"multiprocessing.context", "ProcessError"},
			"TimeoutError":        {"multiprocessing.context", "TimeoutError"},
		},
	},
	"multiprocessing.forking": {
		names: map[string][2]string{
			"Popen": {"multiprocessing.popen_fork", "Popen"},
		},
	},
	"multiprocessing.process": {
		names: map[string][2]string{
			"Process": {"multiprocessing.context", "Process"},
		},
	},
	"repr":        {module: "reprlib"},
	"robotparser": {module: "urllib.robotparser"},
	"socket": {
		names: map[string][2]string{
			"_socketobject": {"socket", "SocketType"},
		},
	},
	"test.test_support": {module: "test.support"},
	"thread":            {module: "_thread"},
	"tkColorChooser":    {module: "tkinter.colorchooser"},
	"tkCommonDialog":    {module: "tkinter.commondialog"},
	"tkFileDialog":      {module: "tkinter.filedialog"},
	"tkFont":            {module: "tkinter.font"},
	"tkMessageBox":      {module: "tkinter.messagebox"},
	"tkSimpleDialog":    {module: "tkinter.simpledialog"},
	"ttk":               {module: "tkinter.ttk"},
	"urllib": {
		names: map[string][2]string{
			"ContentTooShortError": {"urllib.error", "ContentTooShortError"},
			"getproxies":           {"urllib.request", "getproxies"},
			"pathname2url":         {"urllib.request", "pathname2url"},
			"quote":                {"urllib.parse", "quote"},
			"quote_plus":           {"urllib.parse", "quote_plus"},
			"unquote":              {"urllib.parse", "unquote"},
			"unquote_plus":         {"urllib.parse", "unquote_plus"},
			"url2pathname":         {"urllib.request", "url2pathname"},
			"urlcleanup":           {"urllib.request", "urlcleanup"},
			"urlencode":            {"urllib.parse", "urlencode"},
			"urlopen":              {"urllib.request", "urlopen"},
			"urlretrieve":          {"urllib.request", "urlretrieve"},
		},
	},
	"urllib2": {
		module: "urllib.request",
		names: map[string][2]string{
			"HTTPError": {"urllib.error", "HTTPError"},
			"URLError":  {"urllib.error", "URLError"},
		},
	},
	"urlparse": {module: "urllib.parse"},
	"whichdb": {
		module: "dbm",
		names: map[string][2]string{
			"whichdb": {"dbm", "whichdb"},
		},
	},
	"xmlrpclib": {module: "xmlrpc.client"},
}
