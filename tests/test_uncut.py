"""What a newer run may end in the middle, and what it may not."""

from streamlit.testing.v1 import AppTest

import interference.ui  # noqa: F401, as it is where the app is served: before the first run


def app() -> None:
    import streamlit as st
    from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx

    from interference.ui.uncut import uncut

    def meanwhile() -> None:
        """A newer run is asked for while this one is at work."""
        context = get_script_run_ctx()
        requests = context and context.script_requests
        assert requests
        requests.request_rerun(RerunData())

    def act() -> None:
        meanwhile()
        st.session_state["begun"] = True
        st.session_state["done"] = True

    st.button("Act", on_click=act)
    if "whole" not in st.session_state:
        with uncut():
            meanwhile()
            st.session_state["whole"] = True
        st.session_state["after"] = True  # is not come to
    st.write("drawn")


def test_a_newer_run_waits_for_callbacks_and_for_what_is_done_whole():
    drawn = AppTest.from_function(app, default_timeout=60).run()
    assert "whole" in drawn.session_state
    assert "after" not in drawn.session_state
    drawn.button[0].click().run()
    assert "begun" in drawn.session_state
    assert "done" in drawn.session_state
    assert drawn.markdown[0].value == "drawn"
