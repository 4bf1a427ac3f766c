import panel as pn
from mycomp import Counter, House

pn.extension()
House(title="House style", main=[Counter(value=3)]).servable()
