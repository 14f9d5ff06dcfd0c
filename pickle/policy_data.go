package pickle

// harmlessRules lists what a pickle may import from the standard library. What
// is not listed is refused. See rule for the words; protocols and versions say
// who writes a form.
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
		StopIteration StopAsyncIteration SystemError TypeError
		ValueError UnicodeError UnicodeDecodeError UnicodeEncodeError UnicodeTranslateError
		ZeroDivisionError FloatingPointError OverflowError GeneratorExit KeyboardInterrupt SystemExit
		EnvironmentError IOError PythonFinalizationError
		Warning BytesWarning DeprecationWarning EncodingWarning FutureWarning ImportWarning
		PendingDeprecationWarning ResourceWarning RuntimeWarning SyntaxWarning UnicodeWarning UserWarning`, "load call(any...) state", "exceptions hold their arguments"},
	{"builtins", "SyntaxError IndentationError TabError", "load call() call(any) call(any,tuple) state", "of two arguments it walks through the second: range(10**10) is none"},
	{"builtins", "BaseExceptionGroup ExceptionGroup", "load call(text,list|tuple) state", "the same"},

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
	{"http", "HTTPStatus", "load call(int) members", "an Enum"},
	{"re", "RegexFlag", "load call(int) members", "an Enum"},
	{"http", "HTTPMethod", "load call(text) members", "an Enum"},
	{"time", "struct_time", "load call(tuple,dict)", "numbers"},
	{"random", "Random", "load call() state", "a generator's state, of which BUILD looks at the form"},

	// Containers.
	{"collections", "OrderedDict", "load call() call(list) class() class(dict) items state", "a dict"},
	{"collections", "defaultdict", "load call() call(none|global) items state", "a dict; the factory is an import of its own"},
	{"collections", "Counter", "load call(dict) class() class(dict) items state", "a dict"},
	{"collections", "deque", "load call() call(list|tuple) call(list|tuple,int|none) items state", "a list"},
	{"collections", "ChainMap UserDict UserList", "load class() state", "attributes"},
	{"collections", "UserString", "load class() class(text) state", "text"},
	{"array", "array", "load call(text,list) state", "an array below protocol 3"},
	{"array", "_array_reconstructor", "call(global,text,int,bytes) state", "an array; attributes, of a subclass"},
	{"types", "SimpleNamespace", "load call() class() state", "attributes"},
	{"types", "SimpleNamespace", "call(dict)", "the same, in 3.13; no state on top: one of the attributes may be called __setstate__"},
	{"_io", "BytesIO StringIO", "load class() call() state", "a buffer"},
	{"http.cookies", "BaseCookie SimpleCookie", "load class() class(dict) items", "dicts; an attribute value_encode would be called"},
	{"http.cookies", "Morsel", "load class() class(dict) items state", "a dict with attributes"},

	// Addresses and paths: text that opens nothing.
	{"ipaddress", "IPv4Address IPv6Address IPv4Network IPv6Network IPv4Interface IPv6Interface", "load call(text|int)", "an address"},
	{"pathlib", "PurePath PurePosixPath PureWindowsPath Path PosixPath WindowsPath", "load call(text...)", "a path; nothing is opened"},
	{"pathlib._local", "PurePath PurePosixPath PureWindowsPath Path PosixPath WindowsPath", "load call(text...)", "the same, in 3.13"},
	{"urllib.parse", "ParseResult SplitResult DefragResult", "load class(text|none...) class(tuple)", "named tuples of text"},
	{"urllib.parse", "ParseResultBytes SplitResultBytes DefragResultBytes", "load class(bytes|none...) class(tuple)", "named tuples of bytes"},
}

// deniedPackages are packages of third parties in which a function that runs
// code, loads another pickle or opens a file can be called by name, and
// aliases of the standard library.
var deniedPackages = set(`
	_distutils_hack _pydevd_bundle _pytest accelerate aesara aiohttp airflow ansible anyio apscheduler
	asteval asyncssh attr bcc behave billiard black bokeh boto3 botocore bottle breezy bzrlib catboost
	celery cffi chameleon Cheetah cherrypy circus click cloudpickle coverage cppyy cupy cx_Freeze cx_Oracle
	Cython dask debugpy decorator diffusers dill distributed django docker docutils dukpy dulwich durus
	eventlet execjs fabric falcon fastai fastapi fire flake8 flask flit_core frida fsspec future gcsfs gdb
	genshi gensim gevent git gradio greenlet gunicorn h5py hatchling hgext httplib2 httpx huey hypothesis
	invoke ipykernel IPython isort jax jedi jinja2 joblib jpype js2py jsonpickle jupyter_client
	jupyter_core jupyter_server keras kombu ldap lightgbm lldb llvmlite locust loky luigi lupa lxml mako
	markdown matplotlib mercurial mlflow mock mod_wsgi more_itertools mpl_toolkits mpmath multiprocess
	mxnet mypy MySQLdb nbconvert nbformat netCDF4 nltk nose notebook nox nuitka numba numexpr numpy
	objgraph onnx onnxruntime oracledb oyaml paddle pandas paramiko past paste pathos patsy pbr pdfkit
	peewee pexpect PIL pip pkg_resources plumbum poetry polars psutil psycopg psycopg2 ptyprocess pwn py
	py2exe py4j pyarrow pybind11 pycparser pydevd pyflakes pygments PyInstaller pylab pylint pymongo
	pympler pymysql pyodbc pyodide pyparsing pyramid pysftp pyspark pytensor pytest pythran pywin32
	pyximport ray redis requests RestrictedPython robot rope RPi rpy2 rq ruamel ruamel_yaml s3fs sage salt
	sanic sarge scipy scrapy setuptools sh signxml simpleeval six sklearn skops smart_open spacy sqlalchemy
	starlette statsmodels streamlit supervisor sympy tables tblib tensorboard tensorflow theano toolz
	toposort torch torchvision tornado tox traitlets transformers trio twisted typer unoconv urllib3
	uvicorn uwsgi uwsgidecorators virtualenv weasyprint webview werkzeug wheel whoosh win32api win32com
	xarray xgboost xmlsec yaml yapf zarr zc ZEO zmq ZODB zope
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

// borrowedCalls are names of the same kind that an application's classes may
// have too, a forum's Thread: they are refused where they are called.
var borrowedCalls = set(`
	CodeType FileHandler FunctionType Pool Process ProcessPoolExecutor SourceFileLoader Thread
	ThreadPoolExecutor Timer Unpickler ZipFile abort apply apply_async call call_soon chmod chown chroot
	compile_command connect copyfile copytree create_connection create_subprocess_exec
	create_subprocess_shell exec_command exec_module execute executescript kill killpg link load load_module load_source loads
	makedirs mkdir mkfifo mknod move putenv reduce rename renames run runcode runeval runsource
	send_signal spawn starmap start_new_thread symlink terminate timeit truncate unpack_archive
	unsetenv urlopen urlretrieve utime write write_bytes write_text
`)
