"""Stand-in."""
from dataclasses import dataclass
import streamlit as st

@dataclass(frozen=True)
class Panel:
    values: tuple
    locked: tuple
    muted: tuple
    solo: int | None
    normalise: bool
    share: bool
    moving: bool

def coefficient_panel(parents, faders, *, low, high, step, names, key, throttle_ms):
    values=[]
    for i,p in enumerate(parents):
        k=f"{key} {p}"
        st.session_state[k]=faders.values[i] if st.session_state.get(k+"x")!=faders.values[i] else st.session_state.get(k,faders.values[i])
        values.append(st.slider(p,low,high,step=step,key=k))
        st.session_state[k+"x"]=values[-1]
    return Panel(tuple(values),faders.locked,faders.muted,faders.solo,faders.normalise,faders.share,False)

def live_plot(figure,*,key,height,pending,alt):
    st.plotly_chart(figure,key=key)
