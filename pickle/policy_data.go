package pickle

// harmlessRules lists what a pickle may import from the standard library, and
// from the packages in closedPackages. What is not listed is refused. See
// rule for the words; protocols and versions say who writes a form.
var harmlessRules = []rule{
	// Pickle's own reconstructors.
	{"copyreg", "_reconstructor", "call(global,global,data)", "instances below protocol 2: class, base in C, state of the base"},
	{"copyreg", "__newobj__", "call(global,any...)", "what NEWOBJ does, where a class asks for it below protocol 2"},
	{"copyreg", "__newobj_ex__", "call(global,tuple,dict)", "what NEWOBJ_EX does, where a class asks for it below protocol 2"},
	{"functools", "partial", "call(new)", "what NEWOBJ_EX does, in protocols 2 and 3: the class and its arguments are judged by themselves"},
	{"_codecs", "encode", "call(text,latin1)", "bytes below protocol 3; other codecs would be imported by name"},
	{"builtins", "getattr", "call(global,text)", "nested classes below protocol 4, class methods, Enum of 3.11; the attribute is judged by itself"},
	{"builtins", "type", "call(none)", "type(None)"},

	// Built-in types. Called only with what is no larger than its pickle:
	// bytearray(10**10) and list(range(10**10)) are not.
	{"builtins", "object", "load class()", "a bare object; the base of a class below protocol 2"},
	{"builtins", "int float str bool list dict", "load", "a default_factory, or the base of a class below protocol 2"},
	{"builtins", "tuple", "load call(tuple)", "the same; and what date.isocalendar() returns"},
	{"builtins", "bytes", "load call()", "b'' below protocol 3"},
	{"builtins", "bytearray", "load call() call(bytes) call(text,latin1) call(bytes,none)", "below protocol 5"},
	{"builtins", "set frozenset", "load call(list) call(list,none)", "below protocol 4, and subclasses"},
	{"builtins", "complex", "load call(float,float)", "a number"},
	{"builtins", "range", "load call(int,int,int)", "three numbers; nothing is expanded"},
	{"builtins", "slice", "load call(int|none|text,int|none|text,int|none|text)", "three values"},
	{"builtins", "Ellipsis NotImplemented", "load", "constants"},
	{"builtins", `BaseException Exception ArithmeticError AssertionError AttributeError BufferError
		EOFError ImportError ModuleNotFoundError LookupError IndexError KeyError MemoryError NameError
		UnboundLocalError OSError BlockingIOError ChildProcessError ConnectionError BrokenPipeError
		ConnectionAbortedError ConnectionRefusedError ConnectionResetError FileExistsError
		FileNotFoundError InterruptedError IsADirectoryError NotADirectoryError PermissionError
		ProcessLookupError TimeoutError ReferenceError RuntimeError NotImplementedError RecursionError
		StopIteration StopAsyncIteration SyntaxError IndentationError TabError SystemError TypeError
		ValueError UnicodeError UnicodeDecodeError UnicodeEncodeError UnicodeTranslateError
		ZeroDivisionError FloatingPointError OverflowError GeneratorExit KeyboardInterrupt SystemExit
		EnvironmentError IOError PythonFinalizationError BaseExceptionGroup ExceptionGroup
		Warning BytesWarning DeprecationWarning EncodingWarning FutureWarning ImportWarning
		PendingDeprecationWarning ResourceWarning RuntimeWarning SyntaxWarning UnicodeWarning UserWarning`, "load call(any...) state", "exceptions hold their arguments"},

	// Numbers, dates and identifiers.
	{"datetime", "date", "load call(bytes)", "4 bytes"},
	{"datetime", "time datetime", "load call(bytes) call(bytes,object|global)", "6 or 10 bytes, and a time zone"},
	{"datetime", "timedelta", "load call(int,int,int)", "three numbers"},
	{"datetime", "timezone", "load call(object) call(object,text)", "a timedelta and a name"},
	{"datetime", "timezone.utc", "load", "a constant"},
	{"zoneinfo", "ZoneInfo", "load", "for ZoneInfo._unpickle"},
	{"zoneinfo", "ZoneInfo._unpickle", "call(text,int|bool)", "a key, which ZoneInfo itself keeps inside its directories"},
	{"zoneinfo._zoneinfo", "ZoneInfo", "load", "the same, without the C module"},
	{"zoneinfo._zoneinfo", "ZoneInfo._unpickle", "call(text,int|bool)", "the same, without the C module"},
	{"decimal", "Decimal", "load call(text)", "a number in text"},
	{"decimal", `Clamped ConversionSyntax DecimalException DivisionByZero DivisionImpossible DivisionUndefined
		FloatOperation Inexact InvalidContext InvalidOperation Overflow Rounded Subnormal Underflow`, "load call(any...) state", "exceptions hold their arguments"},
	{"fractions", "Fraction", "load call(ratio) call(int,int)", "digits alone: Fraction('1e1000000000') would compute it"},
	{"uuid", "UUID", "load class() state", "attributes"},
	{"uuid", "SafeUUID", "load call(int|none)", "an Enum"},
	{"uuid", "SafeUUID.safe SafeUUID.unsafe SafeUUID.unknown", "load", "its members, as 3.11 writes them"},
	{"calendar", "Day Month", "load call(int)", "Enums of 3.12"},
	{"http", "HTTPStatus", "load call(int)", "an Enum"},
	{"re", "RegexFlag", "load call(int)", "an Enum"},
	{"http", "HTTPMethod", "load call(text)", "an Enum"},
	{"time", "struct_time", "load call(tuple,dict)", "numbers"},
	{"random", "Random", "load call() state", "a generator's state"},

	// Containers.
	{"collections", "OrderedDict", "load call() call(list) class() class(dict) items state", "a dict"},
	{"collections", "defaultdict", "load call() call(none|global) items state", "a dict; the factory is an import of its own"},
	{"collections", "Counter", "load call(dict) class() class(dict) items state", "a dict"},
	{"collections", "deque", "load call() call(list|tuple) call(list|tuple,int|none) items state", "a list"},
	{"collections", "ChainMap UserDict UserList", "load class() state", "attributes"},
	{"collections", "UserString", "load class() class(text) state", "text"},
	{"array", "array", "load call(text,list) state", "an array below protocol 3"},
	{"array", "_array_reconstructor", "call(global,text,int,bytes) state", "an array; attributes, of a subclass"},
	{"types", "SimpleNamespace", "load call() call(dict) class() state", "attributes"},
	{"_io", "BytesIO StringIO", "load class() call() state", "a buffer"},
	{"http.cookies", "BaseCookie SimpleCookie Morsel", "load class() class(dict) items state", "dicts"},

	// Addresses and paths: text that opens nothing.
	{"ipaddress", "IPv4Address IPv6Address IPv4Network IPv6Network IPv4Interface IPv6Interface", "load call(text|int)", "an address"},
	{"pathlib", "PurePath PurePosixPath PureWindowsPath Path PosixPath WindowsPath", "load call(text...)", "a path; nothing is opened"},
	{"pathlib._local", "PurePath PurePosixPath PureWindowsPath Path PosixPath WindowsPath", "load call(text...)", "the same, in 3.13"},
	{"urllib.parse", "ParseResult SplitResult DefragResult", "load class(text|none...) class(tuple)", "named tuples of text"},
	{"urllib.parse", "ParseResultBytes SplitResultBytes DefragResultBytes", "load class(bytes|none...) class(tuple)", "named tuples of bytes"},

	// Sessions.
	{"session3.Session", "Session", "load class() state", "session3's session"},
	{"session3.DictSession", "DictSession", "load class() state", "session3's session with a dict"},
	{"quixote.session", "Session", "load class() state", "Quixote's session"},
	{"quixote.demo.altdemo", "DemoSession", "load class() state", "the session of Quixote's demonstration"},
	{"alforja.demo", "DemoSession", "load class() state", "the session of our demonstration"},
}

// closedPackages are treated as the standard library is. They are known as
// well as it is, and their other classes open files and databases.
var closedPackages = map[string]bool{
	"alforja": true, "quixote": true, "scgi": true, "session3": true,
}

// deniedPackages are packages of third parties in which a function that runs
// code, loads another pickle or opens a file can be called by name, and
// aliases of the standard library.
var deniedPackages = set(`
	IPython ansible anyio asyncssh billiard bottle celery cffi click cloudpickle dill distributed django
	eventlet fabric flask fsspec future gevent gunicorn h5py httplib2 httpx invoke ipykernel jax jinja2
	joblib jsonpickle keras kombu llvmlite loky mako matplotlib more_itertools mpmath multiprocess nltk
	nose numba numexpr numpy onnx pandas paramiko past pathos pexpect pip pkg_resources plumbum polars
	psutil ptyprocess py pyarrow pyparsing pytest _pytest pywin32 requests ruamel scipy setuptools sh
	six sklearn skops sqlalchemy sympy tensorflow toolz toposort torch torchvision tornado transformers
	trio twisted urllib3 uvicorn virtualenv werkzeug wheel win32api win32com yaml zmq zope _distutils_hack
`)

// borrowedModules are modules that run code, under whatever package they are
// found: gevent.subprocess, six.moves.builtins, an application's own wrapper.
var borrowedModules = set(`
	_pickle asyncio builtins cPickle codeop ctypes importlib marshal multiprocessing
	nt os pickle pickletools posix posixpath pty runpy shutil socket subprocess sys
`)

// borrowedNames are functions that run code or call others, which any module
// may have imported from the standard library.
var borrowedNames = set(`
	Popen attrgetter check_call check_output compile delattr eval exec execfile execl execle execlp
	execv execve execvp execvpe fork forkpty getattr getoutput getstatusoutput globals import_module
	import_string input itemgetter literal_eval locals methodcaller open partial partialmethod popen
	posix_spawn posix_spawnp reload remove rmdir rmtree run_module run_path setattr spawnl spawnlp
	spawnv spawnve spawnvp startfile system unlink vars
`)
