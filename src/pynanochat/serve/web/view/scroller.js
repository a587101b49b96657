/** Scroller: follows a text that grows, until the reader wants to be somewhere else. */

import { html, useLayoutEffect, useRef, useState } from './framework.js';
import { Icon } from './icons.js';

const NEAR = 48; // pixels from the end that still count as being there

/** @param {{mark: string | undefined, children: any}} props the view goes to the end when `mark` changes */
export function Scroller({ mark, children }) {
  const box = useRef(null);
  const following = useRef(true);
  const [away, setAway] = useState(false);
  const follow = (whether) => {
    following.current = whether;
    setAway(!whether);
  };

  useLayoutEffect(() => {
    follow(true);
    toEnd(box.current);
  }, [mark]);
  useLayoutEffect(() => {
    const element = box.current;
    const watch = new ResizeObserver(() => {
      if (following.current) toEnd(element);
      else setAway(!isNear(element));
    });
    watch.observe(element.firstElementChild);
    return () => watch.disconnect();
  }, []);

  const moved = () => {
    if (isNear(box.current)) follow(true);
    else if (!following.current) setAway(true);
  };
  const leave = () => {
    if (box.current.scrollTop > 0 && box.current.scrollHeight > box.current.clientHeight) following.current = false;
  };
  const wheel = (event) => {
    if (event.deltaY < 0) leave();
  };
  const key = (event) => {
    if (['PageUp', 'Home', 'ArrowUp'].includes(event.key)) leave();
  };
  const goToEnd = () => {
    follow(true);
    toEnd(box.current);
  };
  return html`<div class="scroller" ref=${box} tabindex="-1" onScroll=${moved} onWheel=${wheel} onTouchMove=${leave}
      onKeyDown=${key}>
    <div class="column">${children}</div>
  </div>
  <div class="to-end-place">${away && html`<button type="button" class="to-end" aria-label="Go to the end"
    onClick=${goToEnd}><${Icon} name="down" /></button>`}</div>`;
}

function toEnd(box) {
  box.scrollTop = box.scrollHeight;
}

const isNear = (box) => box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;
